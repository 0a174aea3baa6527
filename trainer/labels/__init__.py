"""Which rows are anomalous: by recorded events, fixed limits, what is usual, or as they came."""
