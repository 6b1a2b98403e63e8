"""Calls of models: `from llmops.gateway.gateway import Gateway`.

A provider has one method, `stream(request)`. Retries and fallback are providers that wrap a provider (`routing`), so
that whatever else a call needs can be put around them in the same way.
"""
