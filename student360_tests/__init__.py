"""The tests. The folders mirror the packages of `student360`; `support/` contains what they share."""
