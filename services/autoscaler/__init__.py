"""The autoscaler: observes fleet, scheduler and queue, decides how many machines should be, acts on the difference."""
