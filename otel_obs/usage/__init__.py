"""What rules and dashboards use of what services expose, and what that costs."""
