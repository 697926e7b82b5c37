// An MCP server with everything the conformance suite asks a server for: tools, prompts and resources by the names its
// scenarios use. It knows nothing of authorization.
import {
  acceptedContent,
  CLIENT_CAPABILITIES_META_KEY,
  createRequestStateCodec,
  fromJsonSchema,
  inputRequired,
  inputResponse,
  McpServer,
  ResourceTemplate,
  type CallToolResult,
  type InputRequests,
  type ServerContext,
  type ServerNotifier,
} from '@modelcontextprotocol/server'

const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=='
/** 44 bytes of header and no sound. */
const WAV = 'UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA='
const PAUSE_MS = 50

const states = createRequestStateCodec<string>({ key: crypto.getRandomValues(new Uint8Array(32)) })

const pause = () => new Promise((done) => setTimeout(done, PAUSE_MS))
const text = (words: string): CallToolResult => ({ content: [{ type: 'text', text: words }] })
const image = { type: 'image', data: PNG, mimeType: 'image/png' } as const
const embedded = (uri: string, mimeType: string, words: string) =>
  ({ type: 'resource', resource: { uri, mimeType, text: words } }) as const

/** `notify` reaches those who listen for changes; undefined where sessions carry them. */
export function createServer(notify: () => ServerNotifier | undefined): McpServer {
  const server = new McpServer(
    { name: 'everything', version: '1.0.0' },
    {
      capabilities: {
        logging: {},
        completions: {},
        tools: { listChanged: true },
        prompts: { listChanged: true },
        resources: { subscribe: true, listChanged: true },
      },
      requestState: { verify: (state, context) => states.verify(state, context) },
      cacheHints: Object.fromEntries(
        ['tools/list', 'prompts/list', 'resources/list', 'resources/templates/list', 'resources/read'].map((method) => [
          method,
          { ttlMs: 1000, cacheScope: 'private' },
        ]),
      ),
    },
  )
  addContent(server)
  addConversations(server)
  addChanges(server, notify)
  addInputRequired(server)
  addPrompts(server)
  addResources(server)
  return server
}

type Properties = NonNullable<Extract<Parameters<typeof fromJsonSchema>[0], object>['properties']>

function schema<T = unknown>(properties: Properties, required = Object.keys(properties)) {
  return fromJsonSchema<T>({ type: 'object', properties, required })
}

function addContent(server: McpServer): void {
  const tool = (name: string, run: () => CallToolResult): void => {
    server.registerTool(name, { description: name }, run)
  }
  tool('test_simple_text', () => text('This is a simple text response for testing.'))
  tool('test_image_content', () => ({ content: [image] }))
  tool('test_audio_content', () => ({ content: [{ type: 'audio', data: WAV, mimeType: 'audio/wav' }] }))
  tool('test_embedded_resource', () => ({
    content: [embedded('test://embedded-resource', 'text/plain', 'This is an embedded resource content.')],
  }))
  tool('test_multiple_content_types', () => ({
    content: [
      { type: 'text', text: 'Multiple content types test:' },
      image,
      embedded('test://mixed-content-resource', 'application/json', JSON.stringify({ test: 'data', value: 123 })),
    ],
  }))
  tool('test_error_handling', () => {
    throw new Error('This tool intentionally returns an error for testing')
  })
  const inputSchema = fromJsonSchema({
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    $defs: {
      address: {
        $anchor: 'addressDef',
        type: 'object',
        properties: { street: { type: 'string' }, city: { type: 'string' } },
      },
    },
    properties: {
      name: { type: 'string' },
      address: { $ref: '#/$defs/address' },
      contactMethod: { type: 'string', enum: ['phone', 'email'] },
      phone: { type: 'string' },
      email: { type: 'string' },
    },
    allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
    if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
    // oxlint-disable-next-line unicorn/no-thenable -- a keyword of JSON Schema
    then: { required: ['phone'] },
    else: { required: ['email'] },
    additionalProperties: false,
  })
  server.registerTool('json_schema_2020_12_tool', { description: 'A schema of 2020-12', inputSchema }, () => text('ok'))
  // A keyword of MCP: the value of this parameter comes as the header Mcp-Param-Region, too.
  const region = { type: 'string', 'x-mcp-header': 'Region' } as const
  server.registerTool(
    'test_custom_headers',
    {
      description: 'A tool whose parameter is a header as well',
      inputSchema: schema<{ region: string }>({ region }),
    },
    (given) => text(given.region),
  )
}

/**
 * What talks to the client while it runs, on the stream of the call: the stream of the session may not be open yet, and what
 * is sent there would be lost.
 */
function addConversations(server: McpServer): void {
  // oxlint-disable-next-line typescript/no-deprecated -- both revisions are spoken here
  const log = async (context: ServerContext, words: string) => context.mcpReq.log('info', words)
  const logging = async (context: ServerContext) => {
    await log(context, 'Tool execution started')
    await pause()
    await log(context, 'Tool processing data')
    await pause()
    await log(context, 'Tool execution completed')
    return text('Tool with logging executed successfully')
  }
  server.registerTool('test_tool_with_logging', { description: 'Logs while it runs' }, logging)
  server.registerTool('test_logging_tool', { description: 'Logs where that is wanted' }, logging)
  server.registerTool('test_tool_with_progress', { description: 'Reports progress' }, async (context) => {
    const { _meta: meta } = context.mcpReq
    const progressToken = meta?.progressToken
    for (const progress of [0, 50, 100]) {
      if (progressToken !== undefined) {
        const params = { progressToken, progress, total: 100, message: `Completed step ${progress} of 100` }
        await context.mcpReq.notify({ method: 'notifications/progress', params })
      }
      await pause()
    }
    return text('done')
  })
  server.registerTool('test_streaming_elicitation', { description: 'Streams before it answers' }, async (context) => {
    await log(context, 'working')
    await pause()
    return text('done')
  })
  server.registerTool('test_reconnection', { description: 'Closes its stream before the result' }, async (context) => {
    context.http?.closeSSE?.()
    await pause()
    await pause()
    return text('Reconnection test completed successfully')
  })
  server.registerTool(
    'test_sampling',
    { description: 'Asks the client’s model', inputSchema: schema<{ prompt: string }>({ prompt: { type: 'string' } }) },
    async ({ prompt }, context) => {
      const params = { messages: [{ role: 'user', content: { type: 'text', text: prompt } }], maxTokens: 100 }
      const { content } = await context.mcpReq.send({ method: 'sampling/createMessage', params })
      return text(`LLM response: ${JSON.stringify(content)}`)
    },
  )
  server.registerTool(
    'test_elicitation',
    { description: 'Asks the user', inputSchema: schema<{ message: string }>({ message: { type: 'string' } }) },
    async ({ message }, context) => {
      const properties = {
        username: { type: 'string', description: "User's response" },
        email: { type: 'string', description: "User's email address" },
      } as const
      const requestedSchema = { type: 'object', properties, required: ['username', 'email'] } as const
      return elicited('User response: ', context, message, {
        ...requestedSchema,
        required: [...requestedSchema.required],
      })
    },
  )
  server.registerTool('test_elicitation_sep1034_defaults', { description: 'Asks with defaults' }, (context) =>
    elicited('Elicitation completed: ', context, 'Please fill in', {
      type: 'object',
      properties: {
        name: { type: 'string', default: 'John Doe' },
        age: { type: 'integer', default: 30 },
        score: { type: 'number', default: 95.5 },
        status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
        verified: { type: 'boolean', default: true },
      },
    }),
  )
  server.registerTool('test_elicitation_sep1330_enums', { description: 'Asks with enumerations' }, (context) =>
    elicited('Elicitation completed: ', context, 'Please choose', {
      type: 'object',
      properties: {
        untitledSingle: { type: 'string', enum: ['option1', 'option2', 'option3'] },
        titledSingle: { type: 'string', oneOf: titled('value', ['First Option', 'Second Option', 'Third Option']) },
        legacyEnum: {
          type: 'string',
          enum: ['opt1', 'opt2', 'opt3'],
          enumNames: ['Option One', 'Option Two', 'Option Three'],
        },
        untitledMulti: { type: 'array', items: { type: 'string', enum: ['option1', 'option2', 'option3'] } },
        titledMulti: {
          type: 'array',
          items: { anyOf: titled('value', ['First Choice', 'Second Choice', 'Third Choice']) },
        },
      },
    }),
  )
}

function titled(stem: string, titles: readonly string[]) {
  return titles.map((title, index) => ({ const: `${stem}${index + 1}`, title }))
}

type ElicitationSchema = Extract<
  Parameters<ServerContext['mcpReq']['elicitInput']>[0],
  { requestedSchema: unknown }
>['requestedSchema']

async function elicited(
  words: string,
  context: ServerContext,
  message: string,
  requestedSchema: ElicitationSchema,
): Promise<CallToolResult> {
  const params = { mode: 'form', message, requestedSchema } as const
  const { action, content } = await context.mcpReq.send({ method: 'elicitation/create', params })
  return text(`${words}action=${action}, content=${JSON.stringify(content ?? {})}`)
}

function addChanges(server: McpServer, notify: () => ServerNotifier | undefined): void {
  const changed = { description: 'Tells whoever listens that a list has changed' }
  server.registerTool('test_trigger_tool_change', changed, () => {
    notify()?.toolsChanged()
    return text('changed')
  })
  server.registerTool('test_trigger_prompt_change', changed, () => {
    notify()?.promptsChanged()
    return text('changed')
  })
}

const ASK_NAME = {
  user_name: inputRequired.elicit({
    message: 'What is your name?',
    requestedSchema: { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] },
  }),
}
const ASK_MODEL = (words: string, maxTokens: number) =>
  inputRequired.createMessage({ messages: [{ role: 'user', content: { type: 'text', text: words } }], maxTokens })

/** Tools of the revision 2026-07-28, which ask by their result and are called again with the answer. */
function addInputRequired(server: McpServer): void {
  const name = schema<{ name: string }>({ name: { type: 'string' } })
  const tool = (
    suffix: string,
    run: (context: ServerContext) => Promise<CallToolResult | ReturnType<typeof inputRequired>>,
  ) => server.registerTool(`test_input_required_result_${suffix}`, { description: suffix }, run)
  const ask = (inputRequests: InputRequests, requestState?: string) =>
    inputRequired({ inputRequests, ...(requestState === undefined ? {} : { requestState }) })

  tool('elicitation', async ({ mcpReq }) => {
    const answer = acceptedContent(mcpReq.inputResponses, 'user_name', name)
    return answer === undefined ? ask(ASK_NAME) : text(`Hello, ${answer.name}!`)
  })
  tool('sampling', async ({ mcpReq }) => {
    const answer = inputResponse(mcpReq.inputResponses, 'capital_question')
    if (answer.kind !== 'sampling') return ask({ capital_question: ASK_MODEL('What is the capital of France?', 100) })
    return text(JSON.stringify(answer.result.content))
  })
  tool('list_roots', async ({ mcpReq }) => {
    const answer = inputResponse(mcpReq.inputResponses, 'client_roots')
    if (answer.kind !== 'roots') return ask({ client_roots: inputRequired.listRoots() })
    return text(answer.roots.map(({ uri }) => uri).join(' '))
  })
  const confirm = inputRequired.elicit({
    message: 'Please confirm',
    requestedSchema: { type: 'object', properties: { ok: { type: 'boolean' } }, required: ['ok'] },
  })
  for (const suffix of ['request_state', 'tampered_state']) {
    tool(suffix, async ({ mcpReq }) => {
      if (acceptedContent(mcpReq.inputResponses, 'confirm') === undefined)
        return ask({ confirm }, await states.mint(suffix))
      return text(mcpReq.requestState<string>() === suffix ? 'state-ok' : 'no state')
    })
  }
  tool('multiple_inputs', async ({ mcpReq }) => {
    const { inputResponses: given } = mcpReq
    const person = acceptedContent(given, 'user_name', name)
    const [greeting, roots] = [inputResponse(given, 'greeting'), inputResponse(given, 'client_roots')]
    if (person !== undefined && greeting.kind === 'sampling' && roots.kind === 'roots')
      return text(`Hello, ${person.name}!`)
    const requests = { greeting: ASK_MODEL('Generate a greeting', 50), client_roots: inputRequired.listRoots() }
    return ask({ ...ASK_NAME, ...requests }, await states.mint('multiple'))
  })
  tool('multi_round', async ({ mcpReq }) => {
    const step = (number: number, message: string, property: string) =>
      inputRequired.elicit({
        message: `Step ${number}: ${message}`,
        requestedSchema: { type: 'object', properties: { [property]: { type: 'string' } }, required: [property] },
      })
    const { inputResponses: given } = mcpReq
    if (acceptedContent(given, 'step2') !== undefined) return text('done')
    if (acceptedContent(given, 'step1') !== undefined)
      return ask({ step2: step(2, 'What is your favorite color?', 'color') }, await states.mint('round 2'))
    return ask({ step1: step(1, 'What is your name?', 'name') }, await states.mint('round 1'))
  })
  tool('capabilities', async ({ mcpReq }) => {
    const declared: unknown = Reflect.get(mcpReq.envelope ?? {}, CLIENT_CAPABILITIES_META_KEY)
    const can = (capability: string) => typeof declared === 'object' && declared !== null && capability in declared
    return ask(
      {
        ...(can('elicitation') ? ASK_NAME : {}),
        ...(can('sampling') ? { greeting: ASK_MODEL('Generate a greeting', 50) } : {}),
      },
      await states.mint('capabilities'),
    )
  })
  server.registerTool('test_missing_capability', { description: 'Needs sampling' }, ({ mcpReq }) => {
    const answer = inputResponse(mcpReq.inputResponses, 'question')
    return answer.kind === 'sampling' ? text('done') : ask({ question: ASK_MODEL('Say something', 10) })
  })
}

function addPrompts(server: McpServer): void {
  const user = (
    content: { readonly type: 'text'; readonly text: string } | typeof image | ReturnType<typeof embedded>,
  ) => ({ role: 'user', content }) as const
  server.registerPrompt('test_simple_prompt', { description: 'A prompt' }, () => ({
    messages: [user({ type: 'text', text: 'This is a simple prompt for testing.' })],
  }))
  server.registerPrompt(
    'test_prompt_with_arguments',
    {
      description: 'A prompt with arguments',
      argsSchema: schema<{ arg1: string; arg2: string }>({
        arg1: { type: 'string', description: 'First test argument' },
        arg2: { type: 'string', description: 'Second test argument' },
      }),
    },
    ({ arg1, arg2 }) => ({
      messages: [user({ type: 'text', text: `Prompt with arguments: arg1='${arg1}', arg2='${arg2}'` })],
    }),
  )
  server.registerPrompt(
    'test_prompt_with_embedded_resource',
    {
      description: 'A prompt with a resource',
      argsSchema: schema<{ resourceUri: string }>({ resourceUri: { type: 'string' } }),
    },
    ({ resourceUri }) => ({
      messages: [
        user(embedded(resourceUri, 'text/plain', 'Embedded resource content for testing.')),
        user({ type: 'text', text: 'Please process the embedded resource above.' }),
      ],
    }),
  )
  server.registerPrompt('test_prompt_with_image', { description: 'A prompt with an image' }, () => ({
    messages: [user(image), user({ type: 'text', text: 'Please analyze the image above.' })],
  }))
  server.registerPrompt('test_input_required_result_prompt', { description: 'A prompt that asks' }, ({ mcpReq }) => {
    const answer = acceptedContent(mcpReq.inputResponses, 'user_context')
    if (answer !== undefined) return { messages: [user({ type: 'text', text: JSON.stringify(answer) })] }
    const user_context = inputRequired.elicit({
      message: 'What context should the prompt use?',
      requestedSchema: { type: 'object', properties: { context: { type: 'string' } }, required: ['context'] },
    })
    return inputRequired({ inputRequests: { user_context } })
  })
}

function addResources(server: McpServer): void {
  const described = (mimeType: string) => ({ description: 'A resource', mimeType })
  server.registerResource('static-text', 'test://static-text', described('text/plain'), ({ href }) => ({
    contents: [{ uri: href, mimeType: 'text/plain', text: 'This is the content of the static text resource.' }],
  }))
  server.registerResource('static-binary', 'test://static-binary', described('image/png'), ({ href }) => ({
    contents: [{ uri: href, mimeType: 'image/png', blob: PNG }],
  }))
  server.registerResource('watched', 'test://watched-resource', described('text/plain'), ({ href }) => ({
    contents: [{ uri: href, mimeType: 'text/plain', text: 'watched' }],
  }))
  const template = new ResourceTemplate('test://template/{id}/data', {
    list: undefined,
    complete: { id: (value) => [`${value}0`, `${value}1`] },
  })
  server.registerResource('template', template, described('application/json'), ({ href }, { id }) => ({
    contents: [
      {
        uri: href,
        mimeType: 'application/json',
        text: JSON.stringify({ id, templateTest: true, data: `Data for ID: ${String(id)}` }),
      },
    ],
  }))
  const subscribed = new Set<string>()
  server.server.setRequestHandler('resources/subscribe', ({ params }) => {
    subscribed.add(params.uri)
    return {}
  })
  server.server.setRequestHandler('resources/unsubscribe', ({ params }) => {
    subscribed.delete(params.uri)
    return {}
  })
}
