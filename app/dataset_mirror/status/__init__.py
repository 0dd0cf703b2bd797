"""What people see: models, routes and pages about the mirror itself."""
