"""From a bank and a request to an intervention."""
