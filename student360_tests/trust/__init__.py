"""What a district may rely on: bad input, faults and kills, as tables with figures."""
