"""What a user describes, as frozen and validated objects.

Begin with `scenario.Scenario`, then read `strategies` and `systems`, which show how waiting and the
outside work behave, and `specifications`, which states the same in plain values.
"""
