"""BoxWorld: keys, locks and a gem."""
