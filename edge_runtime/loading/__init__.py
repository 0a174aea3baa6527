"""From a file to a bundle that was proved on this machine: checks, trial, self-test."""
