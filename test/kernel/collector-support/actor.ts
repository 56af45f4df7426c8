/**
 * A process inside a network namespace that opens, uses and closes TCP connections as it is told, and counts what
 * it wrote and read itself: the truth that the collector is compared with. Started by actor-process.ts.
 */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

export type ActorCommand =
  | { op: 'listen'; host: string; port: number }
  | { op: 'connect'; host: string; port: number; localHost?: string; localPort?: number }
  /** Connections accepted on the port so far, oldest first. Waits for `count`. */
  | { op: 'accepted'; port: number; count: number }
  | { op: 'write'; conn: number; bytes: number }
  /** Waits until this much was read from the connection. */
  | { op: 'read'; conn: number; bytes: number }
  | { op: 'pause'; conn: number }
  | { op: 'waitEnd'; conn: number }
  | { op: 'waitClose'; conn: number }
  /** end: FIN after what was written. destroy: close(2). reset: close with SO_LINGER 0. */
  | { op: 'end' | 'destroy' | 'reset'; conn: number }
  | { op: 'counts'; conn: number }
  | { op: 'unlisten'; port: number }
  /** Opens and ends connections at a rate: each writes a request and reads until the server ends. */
  | { op: 'short'; host: string; port: number; perSecond: number; seconds: number; requestBytes: number }
  /** Answers every connection's first byte of a request of `requestBytes` with `responseBytes` and ends it. */
  | { op: 'serveShort'; host: string; port: number; requestBytes: number; responseBytes: number }
  | { op: 'shortTotals' }
  /** Listens on `count` ports from `from`; what comes is read and forgotten. */
  | { op: 'listenRange'; host: string; from: number; count: number }
  /** Connects every local address with every port, and keeps all open. */
  | { op: 'mesh'; host: string; from: number; count: number; localHosts: readonly string[] }
  /** Writes to every connection of the mesh. */
  | { op: 'meshWrite'; bytes: number }
  | { op: 'meshClose' };

const sockets: { socket: Socket; read: number; written: number; ended: boolean; closed: boolean }[] = [];
const servers = new Map<number, Server>();
const acceptedOn = new Map<number, number[]>();
const mesh: Socket[] = [];
const shortTotals = { connections: 0, failed: 0, read: 0, written: 0 };

function adopt(socket: Socket): number {
  const state = { socket, read: 0, written: 0, ended: false, closed: false };
  socket.on('data', (chunk: Buffer) => {
    state.read += chunk.length;
  });
  socket.on('end', () => {
    state.ended = true;
  });
  socket.on('close', () => {
    state.closed = true;
  });
  socket.on('error', () => undefined);
  return sockets.push(state) - 1;
}

async function until(condition: () => boolean): Promise<void> {
  const giveUp = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > giveUp) throw new Error('waited 20 s in vain');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

const state = (conn: number) => sockets[conn]!;

async function run(command: ActorCommand): Promise<unknown> {
  switch (command.op) {
    case 'listen': {
      const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
        acceptedOn.get(command.port)!.push(adopt(socket));
      });
      acceptedOn.set(command.port, []);
      servers.set(command.port, server);
      server.listen({ host: command.host, port: command.port, backlog: 511 });
      await once(server, 'listening');
      return undefined;
    }
    case 'unlisten':
      servers.get(command.port)?.close();
      return undefined;
    case 'connect': {
      const { host, port, localHost, localPort } = command;
      const socket = connect({
        host,
        port,
        allowHalfOpen: true,
        noDelay: true,
        ...(localHost === undefined ? {} : { localAddress: localHost }),
        ...(localPort === undefined ? {} : { localPort }),
      });
      const conn = adopt(socket);
      await once(socket, 'connect');
      return conn;
    }
    case 'accepted':
      await until(() => acceptedOn.get(command.port)!.length >= command.count);
      return acceptedOn.get(command.port);
    case 'write': {
      const { socket } = state(command.conn);
      const chunk = Buffer.alloc(Math.min(command.bytes, 1 << 20), 1);
      for (let left = command.bytes; left > 0; left -= chunk.length) {
        const part = left < chunk.length ? chunk.subarray(0, left) : chunk;
        await new Promise<void>((resolve, reject) =>
          socket.write(part, (error) => (error ? reject(error) : resolve())),
        );
        state(command.conn).written += part.length;
      }
      return undefined;
    }
    case 'read':
      await until(() => state(command.conn).read >= command.bytes);
      return state(command.conn).read;
    case 'pause':
      state(command.conn).socket.pause();
      return undefined;
    case 'waitEnd':
      await until(() => state(command.conn).ended);
      return undefined;
    case 'waitClose':
      await until(() => state(command.conn).closed);
      return undefined;
    case 'end':
      state(command.conn).socket.end();
      return undefined;
    case 'destroy':
      state(command.conn).socket.destroy();
      return undefined;
    case 'reset':
      state(command.conn).socket.resetAndDestroy();
      return undefined;
    case 'counts': {
      const { read, written } = state(command.conn);
      return { read, written };
    }
    case 'serveShort': {
      const response = Buffer.alloc(command.responseBytes, 2);
      const server = createServer({ noDelay: true }, (socket) => {
        let left = command.requestBytes;
        socket.on('data', (chunk: Buffer) => {
          shortTotals.read += chunk.length;
          left -= chunk.length;
          if (left === 0) socket.end(response, () => (shortTotals.written += response.length));
        });
        socket.on('error', () => undefined);
        shortTotals.connections++;
      });
      server.listen({ host: command.host, port: command.port, backlog: 4096 });
      await once(server, 'listening');
      return undefined;
    }
    case 'short':
      return await shortConnections(command);
    case 'shortTotals':
      return shortTotals;
    case 'listenRange': {
      for (let port = command.from; port < command.from + command.count; port++) {
        const server = createServer((socket) => socket.on('error', () => undefined).resume());
        server.listen({ host: command.host, port, backlog: 1024 });
        await once(server, 'listening');
      }
      return undefined;
    }
    case 'mesh': {
      const { host, from, count } = command;
      for (const localAddress of command.localHosts) {
        const sockets = Array.from({ length: count }, (_, i) => connect({ host, port: from + i, localAddress }));
        await Promise.all(sockets.map((socket) => once(socket, 'connect')));
        for (const socket of sockets) mesh.push(socket.on('error', () => undefined).resume());
      }
      return mesh.length;
    }
    case 'meshClose':
      // By RST: no TIME_WAIT is left, so the next mesh finds ports.
      for (const socket of mesh.splice(0)) socket.resetAndDestroy();
      return undefined;
    case 'meshWrite': {
      const chunk = Buffer.alloc(command.bytes, 1);
      for (const socket of mesh) socket.write(chunk);
      return undefined;
    }
  }
}

async function shortConnections(command: Extract<ActorCommand, { op: 'short' }>): Promise<typeof shortTotals> {
  const { host, port, perSecond, seconds, requestBytes } = command;
  const request = Buffer.alloc(requestBytes, 1);
  const start = performance.now();
  const total = perSecond * seconds;
  let begun = 0;
  let open = 0;
  await new Promise<void>((resolve) => {
    const finishOne = (): void => {
      open--;
      if (begun === total && open === 0) resolve();
    };
    const tick = (): void => {
      const due = Math.min(total, Math.floor(((performance.now() - start) / 1000) * perSecond));
      for (; begun < due && open < 2000; begun++) {
        open++;
        const socket = connect({ host, port, noDelay: true });
        socket.on('connect', () => {
          shortTotals.connections++;
          socket.write(request, () => (shortTotals.written += requestBytes));
        });
        socket.on('data', (chunk: Buffer) => (shortTotals.read += chunk.length));
        socket.on('error', () => shortTotals.failed++);
        socket.on('close', finishOne);
      }
      if (begun < total) setTimeout(tick, 1);
    };
    tick();
  });
  return shortTotals;
}

process.on('message', (message: { id: number; command: ActorCommand }) => {
  run(message.command).then(
    (result) => process.send!({ id: message.id, result }),
    (error: unknown) => process.send!({ id: message.id, error: String(error) }),
  );
});
process.on('disconnect', () => process.exit(0));
process.send!({ ready: true });
