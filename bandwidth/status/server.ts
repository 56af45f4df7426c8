import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { NetloomError, messageOf } from '../../lib/errors.ts';
import { makeOwnFolder } from '../../lib/files/own-folder.ts';
import type { LimitReport } from './report.ts';

/** In the folder of the agent's state. */
export const SOCKET_NAME = 'limits.sock';

/** A request has no body, and few headers. */
const MAX_CONNECTIONS = 16;
const TIMEOUT_MS = 5_000;

/**
 * Tells `netloom limits` how limits stand, over a unix socket that only this user may open.
 * @throws NetloomError AGENT_LISTEN_FAILED
 */
export async function serveLimits(path: string, report: () => LimitReport): Promise<{ close(): Promise<void> }> {
  const server = createServer({ maxHeaderSize: 8192, requestTimeout: TIMEOUT_MS }, (request, response) => {
    request.resume();
    if (request.method !== 'GET' || request.url !== '/v1/limits') {
      response.writeHead(404).end();
      return;
    }
    const body = Buffer.from(JSON.stringify(report()));
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length }).end(body);
  });
  server.maxConnections = MAX_CONNECTIONS;
  try {
    makeOwnFolder(dirname(path), 0o755);
    if (!(await removeOldSocket(path))) throw new Error('another agent tells of its limits there');
    await listen(server, path);
    chmodSync(path, 0o600);
  } catch (error) {
    server.close();
    throw new NetloomError('AGENT_LISTEN_FAILED', `limits cannot be told: ${messageOf(error)}`, {
      place: path,
      remedy: 'Name another folder with --state.',
      cause: error,
    });
  }
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          rmSync(path, { force: true });
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}

/** Removes the socket of an agent that was killed. @returns false: somebody answers there, and it stays */
export async function removeOldSocket(path: string): Promise<boolean> {
  if (await answers(path)) return false;
  rmSync(path, { force: true });
  return true;
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
