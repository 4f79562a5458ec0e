"""Client of OpenAI-compatible servers: wire format, load balancer, retries, extraction of answers from replies."""
