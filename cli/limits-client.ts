import { statSync } from 'node:fs';
import { request } from 'node:http';
import type { LimitReport } from '../bandwidth/status/report.ts';
import { NetloomError } from '../lib/errors.ts';

/** 16,384 directions with their histograms are some 20 MB. */
const MAX_REPLY_BYTES = 64 << 20;
const TIMEOUT_MS = 10_000;

/** Asks the agent of this node how limits stand. @throws NetloomError AGENT_UNREACHABLE, API_REPLY_INVALID */
export async function askLimits(socketPath: string): Promise<LimitReport> {
  const text = await get(socketPath);
  try {
    return JSON.parse(text) as LimitReport;
  } catch (error) {
    throw new NetloomError('API_REPLY_INVALID', 'the answer is no JSON', { place: socketPath, cause: error });
  }
}

/** Who may ask: the socket is the agent's own. */
function ownerOf(socketPath: string): string {
  try {
    return `the user that runs the agent (uid ${statSync(socketPath).uid})`;
  } catch {
    return 'the user that runs the agent';
  }
}

function get(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException): void => {
      const remedy = error.code === 'EACCES' ? { remedy: `Ask as root, or as ${ownerOf(socketPath)}.` } : {};
      const message = `no agent that limits answers: ${error.message}`;
      reject(new NetloomError('AGENT_UNREACHABLE', message, { place: socketPath, cause: error, ...remedy }));
    };
    const call = request({ socketPath, path: '/v1/limits', timeout: TIMEOUT_MS, agent: false }, (response) => {
      let size = 0;
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > MAX_REPLY_BYTES) call.destroy(new Error(`an answer of over ${MAX_REPLY_BYTES} bytes`));
        else chunks.push(chunk);
      });
      response.on('error', fail);
      response.on('end', () => {
        if (response.statusCode === 200) resolve(Buffer.concat(chunks).toString('utf8'));
        else
          fail(new Error(`status ${String(response.statusCode)}: something else than a Netloom agent listens there`));
      });
    });
    call.once('timeout', () => call.destroy(new Error(`nothing came for ${TIMEOUT_MS / 1000} s`)));
    call.once('error', fail);
    call.end();
  });
}
