"""Real servers on loopback that tests start on free ports and stop again."""
