"""How the Python clients answer what a server asks them: always the same."""


def answers(types, asked):
    """The callbacks for sampling and elicitation; what was asked goes into `asked`."""

    async def sample(_context, _params):
        asked.append("sampling/createMessage")
        content = types.TextContent(type="text", text="sampled")
        return types.CreateMessageResult(role="assistant", model="none", content=content)

    async def elicit(_context, params):
        asked.append("elicitation/create")
        schema = params.requestedSchema if hasattr(params, "requestedSchema") else params.requested_schema
        content = {name: "Ada" for name in schema.get("required", [])}
        return types.ElicitResult(action="accept", content=content)

    return {"sampling_callback": sample, "elicitation_callback": elicit}
