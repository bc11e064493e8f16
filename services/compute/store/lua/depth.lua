-- Answers the lengths of the queues, of the delayed set, and the tasks in flight.
return {redis.call('LLEN', QUEUES.i), redis.call('LLEN', QUEUES.b), redis.call('ZCARD', DELAYED), redis.call('ZCARD', FLIGHT)}
