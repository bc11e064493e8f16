"""The routes, one module for each kind; `services.api.app` installs them in order."""
