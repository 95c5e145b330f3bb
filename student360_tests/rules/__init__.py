"""Tests of `student360.rules`, and the worked examples of the risk monitor."""
