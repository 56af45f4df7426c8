import { request, type IncomingMessage } from 'node:http';
import type { Address } from '../lib/config/types.ts';
import { NetloomError } from '../lib/errors.ts';

export interface ApiClientOptions {
  readonly api: Address;
  readonly timeout: number;
}

/** Largest JSON reply that is parsed as a whole; V8's strings end a little above. */
const MAX_REPLY_BYTES = 400 * 1024 * 1024;

/**
 * Asks the scheduler's read API.
 * @throws NetloomError API_UNREACHABLE, API_REFUSED (with the scheduler's own sentence), API_REPLY_INVALID
 */
export async function askApi<T>(options: ApiClientOptions, path: string, query: Query = {}): Promise<T> {
  let size = 0;
  const chunks: Buffer[] = [];
  for await (const chunk of await openApi(options, path, query)) {
    const bytes = chunk as Buffer;
    size += bytes.length;
    if (size > MAX_REPLY_BYTES) {
      throw new NetloomError('API_REPLY_INVALID', 'the answer is too large', { found: `over ${String(size)} bytes` });
    }
    chunks.push(bytes);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as T;
  } catch (error) {
    throw new NetloomError('API_REPLY_INVALID', 'the answer is no JSON', { place: urlOf(options, path), cause: error });
  }
}

export type Query = Readonly<Record<string, string | number | undefined>>;

/** The body of a 200 reply, as it comes. */
export function openApi(options: ApiClientOptions, path: string, query: Query = {}): Promise<IncomingMessage> {
  const parameters = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) if (value !== undefined) parameters.set(key, String(value));
  const text = parameters.toString();
  const { host, port } = options.api;
  return new Promise((resolve, reject) => {
    const call = request(
      { host, port, path: text === '' ? path : `${path}?${text}`, timeout: options.timeout, agent: false },
      (response) => {
        if (response.statusCode === 200) {
          resolve(response);
          return;
        }
        refusal(response, urlOf(options, path)).then(reject, reject);
      },
    );
    call.once('timeout', () => call.destroy(new Error(`no answer within ${String(options.timeout)} ms`)));
    call.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        new NetloomError('API_UNREACHABLE', `the scheduler does not answer: ${error.message}`, {
          place: urlOf(options, path),
          cause: error,
        }),
      );
    });
    call.end();
  });
}

async function refusal(response: IncomingMessage, place: string): Promise<NetloomError> {
  let text = '';
  for await (const chunk of response) if (text.length < 4096) text += String(chunk);
  let sentence = `status ${String(response.statusCode)}`;
  try {
    const { error } = JSON.parse(text) as { error?: unknown };
    if (typeof error === 'string') sentence = error;
  } catch {
    // Something else than a Netloom scheduler listens there; its status is all there is to say.
  }
  return new NetloomError('API_REFUSED', sentence, { place });
}

function urlOf({ api }: ApiClientOptions, path: string): string {
  const host = api.host.includes(':') ? `[${api.host}]` : api.host;
  return `http://${host}:${String(api.port)}${path}`;
}
