"""What a person describes, as frozen validated objects; the floor everything stands on."""
