"""Training: the loop. Its packages have the update rules, the steps, the layouts and the files of a run."""
