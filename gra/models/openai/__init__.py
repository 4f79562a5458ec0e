"""Client of OpenAI-compatible servers: wire format, load balancer, retries, reading of replies."""
