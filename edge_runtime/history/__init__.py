"""The history beside a ledger: rows, rollups, alarms and sensor status, for those who look back."""
