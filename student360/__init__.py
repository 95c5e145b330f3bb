"""Student 360: CSV exports in, a risk list out. Start reading at `definitions.py`."""
