"""Facts of the services, one TOML file per project."""
