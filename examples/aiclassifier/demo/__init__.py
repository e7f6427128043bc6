"""A demonstration: real traffic at the classifier, one worker killed, and every request found again."""
