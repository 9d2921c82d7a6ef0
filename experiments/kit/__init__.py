"""What the experiments share: training of several arms and seeds, verdicts, records, plots and the results page."""
