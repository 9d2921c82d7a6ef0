"""What people see: progress, tables and plots."""
