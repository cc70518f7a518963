// The OpenAPI document of the server, and what the page asks of it.

/** How deep a made-up example goes. Schemas may refer to themselves. */
const EXAMPLE_DEPTH_MAX = 6;

export class ApiDocument {
  #json;

  constructor(json) {
    this.#json = json;
  }

  get about() {
    return this.#json.info.description ?? "";
  }

  /** Follows references. Members beside a reference replace those of its target. */
  resolve(value) {
    let found = value ?? {};
    for (let step = 0; found.$ref !== undefined && step < 16; step += 1) {
      const { $ref, ...beside } = found;
      const target = $ref.split("/").slice(1).reduce((at, part) => at?.[part], this.#json);
      found = { ...target, ...beside };
    }
    return found;
  }

  /** The tags in their order, each with its operations. */
  groups() {
    const operations = Object.entries(this.#json.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, raw]) => this.#operation(method.toUpperCase(), path, raw)),
    );
    return this.#json.tags.map(({ name, description }) => ({
      name,
      description,
      operations: operations.filter((operation) => operation.tag === name),
    }));
  }

  #operation(method, path, raw) {
    const body = raw.requestBody && this.resolve(raw.requestBody);
    return {
      id: raw.operationId,
      tag: raw.tags?.[0],
      method,
      path,
      summary: raw.summary ?? raw.operationId,
      description: raw.description ?? "",
      parameters: (raw.parameters ?? []).map((one) => this.resolve(one)),
      body: body && {
        required: body.required === true,
        description: body.description ?? "",
        contents: contents(body.content),
      },
      responses: Object.entries(raw.responses ?? {}).map(([status, given]) => {
        const response = this.resolve(given);
        const codes = [response["x-codes"], raw["x-codes"]?.[status]].filter(Boolean).join(", ");
        return {
          status,
          description: response.description ?? "",
          codes: [...new Set(codes.split(", ").filter(Boolean))].sort(),
          contents: contents(response.content),
        };
      }),
    };
  }

  /** A value that fits a schema: its own example, or one of its required members. */
  example(schema, depth = 0) {
    const one = this.resolve(schema);
    for (const given of [one.example, one.examples?.[0], one.const, one.default, one.enum?.[0]]) {
      if (given !== undefined) return given;
    }
    const choices = one.oneOf ?? one.anyOf;
    if (choices) {
      const choice = choices.find((it) => this.resolve(it).type !== "null") ?? {};
      return this.example(choice, depth + 1);
    }
    const type = [one.type].flat().find((it) => it !== "null");
    if (EXAMPLE_DEPTH_MAX < depth) return null;
    if (type === "array") return one.items ? [this.example(one.items, depth + 1)] : [];
    if (type === "object") {
      const names = one.required ?? [];
      return Object.fromEntries(
        names.map((name) => [name, this.example(one.properties?.[name], depth + 1)]),
      );
    }
    return { integer: one.minimum ?? 0, number: 0, boolean: false, string: "" }[type] ?? null;
  }

  /** The type of a schema in words. */
  typeOf(schema, depth = 0) {
    const one = this.resolve(schema);
    const choices = one.oneOf ?? one.anyOf;
    if (choices && depth < 3) {
      return [...new Set(choices.map((it) => this.typeOf(it, depth + 1)))].join(" or ");
    }
    if (one.const !== undefined) return JSON.stringify(one.const);
    const types = [one.type ?? "any value"].flat();
    const words = types.map((type) =>
      type === "array" && depth < 3 ? `list of ${this.typeOf(one.items, depth + 1)}` : type,
    );
    const { minimum, maximum, format } = one;
    if (format === "date-time") words[0] = "time (RFC 3339)";
    if (minimum !== undefined) words[0] += ` from ${minimum}`;
    // Larger numbers are not exact in a script.
    if (maximum <= Number.MAX_SAFE_INTEGER) words[0] += ` to ${maximum}`;
    return words.join(" or ");
  }

  /** The words that a schema allows, or an empty list. */
  words(schema) {
    const one = this.resolve(schema);
    if (one.enum) return one.enum.filter((word) => word !== null);
    if (one.items) return this.words(one.items);
    const choices = one.oneOf ?? one.anyOf ?? [];
    return choices.length === 2 ? choices.flatMap((it) => this.words(it)) : [];
  }

  /** The members of the objects that a schema allows: `[name, schema, required]`. */
  members(schema) {
    const one = this.resolve(schema);
    const within = one.type === "array" || one.items ? this.resolve(one.items) : one;
    if (within.properties) {
      return Object.entries(within.properties).map(([name, member]) => [
        name,
        member,
        within.required?.includes(name) === true,
      ]);
    }
    const choices = (within.oneOf ?? within.anyOf ?? within.allOf ?? []).map((it) => this.members(it));
    return choices.find((members) => 0 < members.length) ?? [];
  }
}

function contents(content) {
  return Object.entries(content ?? {}).map(([type, { schema, example }]) => ({ type, schema, example }));
}
