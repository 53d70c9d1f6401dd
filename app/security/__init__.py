"""Security: authentication, authorization, rate limits and browser protection of the API."""
