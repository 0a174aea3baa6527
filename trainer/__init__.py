"""The workstation's side: simulate, prepare, train, calibrate, evaluate."""
