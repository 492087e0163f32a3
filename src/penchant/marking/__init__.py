"""From a history and a request to marks, one file per marker; the heat map."""
