"""When a row is anomalous: thresholds, budgets of false alarms, debounce; chosen on validation alone."""
