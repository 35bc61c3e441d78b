"""The API and who may use it; imported only where it is switched on, because its libraries are heavy."""
