# Every session, agent and trust call of the published client `truthlocks-maip`, against a ledger.
# Arguments: the base URL, a key of a tenant, and a key of another tenant.
import sys

from truthlocks_maip import (
    Agent,
    AgentStatus,
    ComputeTrustScoreRequest,
    CreateAgentRequest,
    CreateSessionRequest,
    ListResponse,
    MaipClient,
    MaipError,
    NotFoundError,
    OfferDelegationRequest,
    Scope,
    Session,
    TrustScore,
    UnauthorizedError,
)

url, key, foreign_key = sys.argv[1:]
client = MaipClient(api_key=key, base_url=url)
foreign = MaipClient(api_key=foreign_key, base_url=url)


def as_type(kind, answer):
    """Converts an answer to the client's own type, which has camel case fields."""
    camel = client._snake_to_camel
    return kind(**{name: answer[camel(name)] for name in kind.__dataclass_fields__})


def refused(error, said, call, *args, **more):
    try:
        call(*args, **more)
    except error as found:
        assert said in str(found), found
        return found
    raise AssertionError(f"{call} {args} was not rejected")


# Register, get, list.
assert client.list_agents() == {
    "agents": [], "items": [], "data": [], "total": 0, "limit": 50, "offset": 0
}
scope = Scope(actions=["read", "write"], resources=["documents/*"])
made = client.register_agent(
    CreateAgentRequest(
        name="reader", scope=scope, public_key="AAAA", metadata={"team": "search"}
    )
)
agent = as_type(Agent, made)
assert (agent.name, agent.status, agent.public_key) == ("reader", "active", "AAAA")
assert Scope(**agent.scope) == scope
assert agent.metadata == {"team": "search"}
assert client.get_agent(agent.id) == made
others = [
    client.register_agent(CreateAgentRequest(name=name, scope=scope, public_key="BBBB"))["id"]
    for name in ["second", "third"]
]
page = as_type(ListResponse, client.list_agents(status=AgentStatus.ACTIVE, offset=1, limit=1))
assert [one["id"] for one in page.items] == [others[0]]
assert (page.total, page.offset, page.limit) == (3, 1, 1)

# Sessions: with and without optional fields, and ended repeatedly.
plain = as_type(Session, client.create_session(CreateSessionRequest(agent_id=agent.id)))
assert (plain.agent_id, plain.status, Scope(**plain.scope)) == (agent.id, "active", scope)
narrow = Scope(actions=["read"], resources=["documents/7"])
made = client.create_session(
    CreateSessionRequest(agent_id=agent.id, scope=narrow, ttl_seconds=1800)
)
short = as_type(Session, made)
assert Scope(**short.scope) == narrow
assert short.expires_at < plain.expires_at
assert made["token"] and made["refresh_token"] and made["session"]["session_id"] == short.id
ended = client.terminate_session(short.id)
assert as_type(Session, ended).status == "terminated"
assert "token" not in ended
assert client.terminate_session(short.id) == ended
assert client.get_agent(agent.id)["session_count"] == 2
assert as_type(Session, client._get(f"/v1/sessions/{plain.id}")) == plain

# Trust: the registered values.
trust = as_type(TrustScore, client.get_trust_score(agent.id))
assert (trust.agent_id, trust.score, trust.level) == (agent.id, 0.5, "authenticated")
assert client.compute_trust_score(ComputeTrustScoreRequest(agent_id=agent.id)) == (
    client.get_trust_score(agent.id)
)

# Suspend and revoke.
suspended = client.suspend_agent(others[0])
assert (suspended["status"], suspended["agent_id"]) == ("suspended", others[0])
error = refused(
    MaipError, "suspended", client.create_session, CreateSessionRequest(agent_id=others[0])
)
assert error.status_code == 409
assert client.revoke_agent(others[0])["status"] == "revoked"
assert client.revoke_agent(others[0])["status"] == "revoked"
assert refused(MaipError, "revoked", client.suspend_agent, others[0]).status_code == 409
listed = client.list_agents(status=AgentStatus.REVOKED)
assert [one["id"] for one in listed["items"]] == [others[0]]

# Invalid requests and missing routes.
wide = Scope(actions=["*"], resources=["*"])
error = refused(
    MaipError, "scopes", client.create_session, CreateSessionRequest(agent.id, scope=wide)
)
assert error.status_code == 403
error = refused(
    MaipError,
    "ttlSeconds must be a whole number from 1 to 86400",
    client.create_session,
    CreateSessionRequest(agent.id, ttl_seconds=86401),
)
assert error.status_code == 400
bounded = Scope(actions=["read"], resources=["*"], constraints={"region": "eu"})
refused(
    MaipError,
    "scope.constraints must be empty",
    client.register_agent,
    CreateAgentRequest(name="bounded", scope=bounded, public_key="CCCC"),
)
for call, argument in [
    (client.get_agent, "none"),
    (client.suspend_agent, "none"),
    (client.revoke_agent, "maip:t1234567:01HYX3KPZQ7RJGBN0WFMV8SDEH"),
    (client.get_trust_score, "a/b"),
    (client.terminate_session, "none"),
    (client.create_session, CreateSessionRequest(agent_id="none")),
    (foreign.get_agent, agent.id),
    (foreign.revoke_agent, agent.id),
    (foreign.get_trust_score, agent.id),
    (foreign.terminate_session, plain.id),
    (foreign.create_session, CreateSessionRequest(agent_id=agent.id)),
]:
    refused(NotFoundError, "not ", call, argument)
assert foreign.list_agents()["total"] == 0
offer = OfferDelegationRequest(agent.id, others[1], scope)
refused(NotFoundError, "there is no /v1/delegations in this API", client.offer_delegation, offer)
if "slk_" in key:
    stranger = MaipClient(api_key="tl_live_nobody", base_url=url)
    refused(UnauthorizedError, "not valid", stranger.list_agents)
print(agent.id, plain.id, short.id)
