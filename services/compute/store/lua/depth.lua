-- Answers the lengths of the queues, of the delayed set, and the tasks in flight.
return depth()
