// Railway's published schema, served by GraphQL Yoga and graphql-ws: what they make of documents,
// variables and WebSockets is theirs. Here is only as much of a memory as a deploy needs; the rest is
// answered with what the schema promises.
//
//   node server.mjs DIRECTORY-WITH-NODE_MODULES SCHEMA TOKEN

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import path from "node:path";

const [directory, schemaFile, token] = process.argv.slice(2);
const require = createRequire(path.join(directory, "package.json"));
const { buildSchema, GraphQLError } = require("graphql");
const { addMocksToSchema } = require("@graphql-tools/mock");
const { createYoga } = require("graphql-yoga");
const { useServer } = require("graphql-ws/use/ws");
const { WebSocketServer } = require("ws");

const ENDPOINT = "/graphql/v2";
const NOW = "2026-11-21T12:00:00.000Z";
const OPEN = ["INITIALIZING", "BUILDING", "DEPLOYING"];

// --- what there is

const seen = { requests: 0, refused: [], subscriptions: 0 };
const services = {};
for (const name of ["api", "web"]) {
  services[name] = { source: "", variables: {}, deployments: [], settings: {}, autoDeploy: false };
}

const refuse = (message, code = "BAD_USER_INPUT") => {
  throw new GraphQLError(message, { extensions: { code, traceId: "trace-1" } });
};
const serviceOf = (id) => services[id] ?? refuse("Service not found");
const found = (id) => {
  for (const service of Object.values(services)) {
    const deployment = service.deployments.find((one) => one.id === id);
    if (deployment) return { service, deployment };
  }
  return refuse("Deployment not found");
};
const isOpen = (deployment) => OPEN.includes(deployment.status);
const isLive = (deployment) => deployment.status === "SUCCESS";

const begin = (service, name, image) => {
  const deployment = {
    id: `${name}-${service.deployments.length}`,
    image,
    variables: { ...service.variables },
    status: OPEN[0],
  };
  service.deployments.unshift(deployment);
  return deployment;
};

// Time goes by with every look.
const pass = (service) => {
  const [newest, ...older] = service.deployments;
  if (!newest || !isOpen(newest)) return;
  const end = newest.image.includes("sick") ? "FAILED" : "SUCCESS";
  newest.status = OPEN[OPEN.indexOf(newest.status) + 1] ?? end;
  for (const one of older) {
    const isReplaced = isLive(newest) && isLive(one);
    if (isOpen(one) || isReplaced) one.status = "REMOVED";
  }
};

const shown = (deployment) => ({
  id: deployment.id,
  status: deployment.status,
  createdAt: NOW,
  statusUpdatedAt: NOW,
  canRollback: deployment.status === "REMOVED",
  canRedeploy: true,
  deploymentStopped: false,
  meta: { image: deployment.image },
  instances: [],
});
// What nobody has set.
const SETTINGS = [
  "numReplicas", "region", "healthcheckPath", "healthcheckTimeout", "overlapSeconds",
  "drainingSeconds", "preDeployCommand", "startCommand", "sleepApplication", "cronSchedule",
];
const unset = Object.fromEntries(SETTINGS.map((name) => [name, null]));

const page = (nodes) => ({
  edges: nodes.map((node) => ({ node, cursor: "cursor" })),
  pageInfo: { hasNextPage: false, endCursor: null },
});
const named = (name) => ({ id: name, name, deletedAt: null, canAccess: true, isEphemeral: false });
const nameOf = (service) => Object.keys(services).find((name) => services[name] === service);
const line = (message, nano) => ({
  timestamp: `2026-11-21T12:00:00.${String(nano).padStart(9, "0")}Z`,
  message,
  severity: "info",
  attributes: [],
});
const event = {
  id: "event-1",
  step: "HEALTHCHECK",
  createdAt: NOW,
  completedAt: NOW,
  payload: { error: "exit code 1", detail: "it says no" },
};

// --- what is asked

const Query = {
  projectToken: () => ({ projectId: "project-1", environmentId: "production" }),
  project: (_, { id }) => ({
    ...named(id),
    environments: page([named("production")]),
    services: page(Object.keys(services).map(named)),
  }),
  environment: () => ({ ...named("production"), volumeInstances: page([]) }),
  serviceInstance: (_, { serviceId, environmentId }) => ({
    id: "instance-1",
    serviceId,
    environmentId,
    serviceName: serviceId,
    source: { image: serviceOf(serviceId).source, repo: null },
    latestDeployment: serviceOf(serviceId).deployments.slice(0, 1).map(shown)[0] ?? null,
    activeDeployments: serviceOf(serviceId).deployments.filter(isLive).map(shown),
    ...unset,
    ...serviceOf(serviceId).settings,
  }),
  serviceInstanceAutoDeployStatus: (_, { serviceId }) => ({
    canEnable: true,
    enabled: serviceOf(serviceId).autoDeploy,
    reason: null,
  }),
  deployment: (_, { id }) => {
    pass(found(id).service);
    return shown(found(id).deployment);
  },
  deployments: (_, { input }) => {
    pass(serviceOf(input.serviceId));
    return page(serviceOf(input.serviceId).deployments.map(shown));
  },
  deploymentEvents: () => page([event]),
  deploymentLogs: () => [line("a line of log", 1)],
  buildLogs: () => [line("a line of the build", 1)],
  variables: (_, { serviceId }) => serviceOf(serviceId).variables,
};

const Mutation = {
  serviceInstanceUpdate: (_, { serviceId, input }) => {
    const { source, ...settings } = input;
    if (source?.image) serviceOf(serviceId).source = source.image;
    Object.assign(serviceOf(serviceId).settings, settings);
    return true;
  },
  serviceInstanceAutoDeployUpdate: (_, { input }) => {
    serviceOf(input.serviceId).autoDeploy = input.enabled;
    return { enabled: input.enabled };
  },
  // All of a service at once, and one deployment of it.
  environmentPatchCommit: (_, { patch }) => {
    for (const [id, { source, variables = {} }] of Object.entries(patch.services ?? {})) {
      const service = serviceOf(id);
      if (source?.image) service.source = source.image;
      for (const [name, variable] of Object.entries(variables)) {
        if (variable === null) delete service.variables[name];
        else service.variables[name] = variable.value;
      }
      begin(service, id, service.source);
    }
    return "commit-1";
  },
  serviceInstanceDeployV2: (_, { serviceId }) =>
    begin(serviceOf(serviceId), serviceId, serviceOf(serviceId).source).id,
  variableCollectionUpsert: (_, { input }) => {
    const service = serviceOf(input.serviceId);
    service.variables = { ...(input.replace ? {} : service.variables), ...input.variables };
    if (!input.skipDeploys) begin(service, input.serviceId, service.source);
    return true;
  },
  variableDelete: (_, { input }) => {
    const service = serviceOf(input.serviceId);
    delete service.variables[input.name];
    begin(service, input.serviceId, service.source);
    return true;
  },
  deploymentRollback: (_, { id }) => {
    const { service, deployment } = found(id);
    if (deployment.status !== "REMOVED") return refuse("Cannot rollback to this deployment");
    service.variables = { ...deployment.variables };
    begin(service, nameOf(service), deployment.image);
    return true;
  },
  deploymentCancel: (_, { id }) => {
    const { deployment } = found(id);
    if (!isOpen(deployment)) return refuse("Deployment is over");
    deployment.status = "REMOVED";
    return true;
  },
  deploymentRemove: (_, { id }) => {
    found(id).deployment.status = "REMOVED";
    return true;
  },
};

const Subscription = {
  deployment: {
    async *subscribe(_, { id }) {
      seen.subscriptions += 1;
      for (;;) {
        const { service, deployment } = found(id);
        yield { deployment: shown(deployment) };
        if (!isOpen(deployment)) return;
        pass(service);
      }
    },
  },
  deploymentEvents: {
    async *subscribe() {
      seen.subscriptions += 1;
      yield { deploymentEvents: { ...event, step: "BUILD_IMAGE", payload: null } };
      yield { deploymentEvents: event };
    },
  },
  // Lines come in heaps, and some of them twice; the build's end when it does.
  buildLogs: {
    async *subscribe() {
      seen.subscriptions += 1;
      yield { buildLogs: [line("one", 1), line("two", 2)] };
      yield { buildLogs: [line("two", 2), line("three", 3)] };
    },
  },
  deploymentLogs: {
    async *subscribe() {
      seen.subscriptions += 1;
      yield { deploymentLogs: [line("up", 1)] };
    },
  },
};

const any = () => "text";
const scalars = Object.fromEntries(
  [
    "BigInt", "CanvasConfig", "DeploymentDiagnosis", "DeploymentMeta", "DisplayConfig",
    "EnvironmentConfig", "EnvironmentVariables", "JSON", "NotificationChannelConfig",
    "NotificationPayload", "RailpackInfo", "SerializedTemplateConfig", "ServiceInstanceLimit",
    "SkippedResourceIds", "SpendCommitmentFeatureId", "SubscriptionPlanLimit", "TemplateConfig",
    "TemplateMetadata", "TemplateServiceConfig", "TemplateVolume", "Upload",
  ].map((name) => [name, any]),
);
const schema = addMocksToSchema({
  // As it is published it breaks a rule of GraphQL's: a field that its interface does not deprecate.
  schema: buildSchema(readFileSync(schemaFile, "utf8"), { assumeValid: true }),
  mocks: { ...scalars, DateTime: () => NOW, Int: () => 1 },
  resolvers: { Query, Mutation, Subscription },
  preserveResolvers: true,
});

// --- how it is reached

const isLetIn = ({ headers }) =>
  headers.authorization === `Bearer ${token}` || headers["project-access-token"] === token;

const refused = (errors) => seen.refused.push(...(errors ?? []).map(({ message }) => message));

const yoga = createYoga({
  schema,
  graphqlEndpoint: ENDPOINT,
  maskedErrors: false,
  logging: false,
  plugins: [
    {
      onValidate: () => ({ result }) => refused(result),
      onExecute: () => ({ onExecuteDone: ({ result }) => refused(result.errors) }),
    },
  ],
});

const json = (response, body) => {
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
};

// What a test sees and sets beside the API.
const beside = {
  seen: () => seen,
  inside: ({ service }) => {
    const live = services[service].deployments.find(isLive);
    return { ...services[service], live, isBusy: services[service].deployments.some(isOpen) };
  },
  set: ({ service, name, value }) => (services[service].variables[name] = value),
};

const server = createServer((request, response) => {
  const url = new URL(request.url, "http://localhost");
  const what = beside[url.pathname.slice(1)];
  if (what) return json(response, what(Object.fromEntries(url.searchParams)));
  seen.requests += 1;
  if (isLetIn(request)) return yoga(request, response);
  return json(response, { errors: [{ message: "Not Authorized" }], data: null });
});

const sockets = new WebSocketServer({ server, path: ENDPOINT });
useServer({ schema, onConnect: ({ extra }) => isLetIn(extra.request) }, sockets);

server.listen(0, "127.0.0.1", () => {
  process.stdout.write(`listening on http://127.0.0.1:${server.address().port}\n`);
});
