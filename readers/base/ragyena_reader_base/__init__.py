"""The checkpoint of ragyena's reader 'base'."""
