"""MCP servers whose tools members can call. Host only, and with the extra ``mcp``."""

from meerkat_mob.agent.mcp.entries import McpLimits, McpState, McpStatus, ServerEntry
from meerkat_mob.agent.mcp.servers import Mcp, McpServers

__all__ = ("Mcp", "McpLimits", "McpServers", "McpState", "McpStatus", "ServerEntry")
