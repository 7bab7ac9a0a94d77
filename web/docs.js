// Renders the gateway's own OpenAPI document: operations by tag, schemas, and the codes of problems.

const METHODS = ["get", "post", "put", "patch", "delete"];

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined && text !== null) made.textContent = text;
  if (className) made.className = className;
  return made;
}

/** What a schema is, in a few words; a reference becomes a link. */
function kind(schema) {
  if (!schema) return element("span", "anything");
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    const link = element("a", name);
    link.href = `#schema-${name}`;
    return link;
  }
  if (schema.items) {
    const list = element("span", "list of ");
    list.append(kind(schema.items));
    return list;
  }
  const choices = (schema.oneOf ?? schema.anyOf ?? []).filter((choice) => choice.type !== "null");
  if (choices.length === 1) return kind(choices[0]);
  if (schema.enum) return element("span", schema.enum.join(" | "));
  return element("span", [schema.type ?? "object"].flat().join(" or "));
}

function table(rows) {
  const made = element("table");
  for (const [name, schema, description] of rows) {
    const row = element("tr");
    const head = element("th");
    head.scope = "row";
    head.append(element("code", name));
    const type = element("td");
    type.append(kind(schema));
    if (schema?.writeOnly) type.append(element("span", ", write only"));
    row.append(head, type, element("td", description ?? schema?.description));
    made.append(row);
  }
  return made;
}

function operation(path, method, details) {
  const made = element("section", undefined, "operation");
  made.id = details.operationId;
  const title = element("h3");
  title.append(element("span", method.toUpperCase(), "method"), element("code", path));
  made.append(title, element("p", [details.summary, details.description].filter(Boolean).join(" ")));
  const parameters = details.parameters ?? [];
  if (parameters.length > 0) {
    made.append(element("h4", "Parameters"));
    made.append(table(parameters.map((each) => [`${each.name} (${each.in})`, each.schema, each.description])));
  }
  const body = details.requestBody?.content?.["application/json"]?.schema;
  if (body) {
    const line = element("p", "Body: ");
    line.append(kind(body));
    made.append(line);
  }
  made.append(element("h4", "Answers"));
  const answers = Object.entries(details.responses).map(([status, answer]) => {
    const schema = Object.values(answer.content ?? {})[0]?.schema;
    return [status, schema ?? { type: "nothing" }, answer.description];
  });
  made.append(table(answers));
  return made;
}

function schemaSection(name, schema) {
  const made = element("section", undefined, "operation");
  made.id = `schema-${name}`;
  made.append(element("h3", name));
  if (name === "Code") {
    const list = element("dl");
    for (const line of (schema.description ?? "").split("\n")) {
      const word = element("dt", line.split(" ")[0]);
      word.id = `problem-${word.textContent}`;
      list.append(word, element("dd", line.slice(word.textContent.length + 1)));
    }
    made.append(list);
    return made;
  }
  if (schema.description) made.append(element("p", schema.description));
  if (schema.properties) made.append(table(Object.entries(schema.properties)));
  else made.append(kind(schema));
  return made;
}

function render(api) {
  const docs = document.getElementById("docs");
  docs.append(...api.info.description.split("\n\n").map((paragraph) => element("p", paragraph)));
  for (const tag of api.tags) {
    docs.append(element("h2", tag.name), element("p", tag.description));
    for (const [path, item] of Object.entries(api.paths)) {
      for (const method of METHODS) {
        if (item[method]?.tags?.includes(tag.name)) docs.append(operation(path, method, item[method]));
      }
    }
  }
  docs.append(element("h2", "Schemas"));
  for (const [name, schema] of Object.entries(api.components.schemas)) docs.append(schemaSection(name, schema));
  // The page was empty when the browser looked for the place that the address names.
  if (location.hash.length > 1) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

const answer = await fetch("/api/openapi.json");
render(await answer.json());
