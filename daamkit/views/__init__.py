"""What people see: colours, pictures, reports. Knows runs, and no model."""
