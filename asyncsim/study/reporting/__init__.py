"""A study as one HTML file, with the reporting checklist STRESS-DES."""
