"""Security: authentication, authorization, rate limits and CSRF; one policy for every route."""
