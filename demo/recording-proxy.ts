import {
  Server,
  ServerCredentials,
  credentials,
  Client,
  type ServerDuplexStream,
  type ServiceDefinition,
} from '@grpc/grpc-js';
import { decodeAgentMessage } from '../proto/codec.ts';

type Bytes = (bytes: Buffer) => Buffer;
const same: Bytes = (bytes) => bytes;
export const STREAM_PATH = '/netloom.report.v1.Reports/Stream';

const SERVICE: ServiceDefinition = {
  stream: {
    path: STREAM_PATH,
    requestStream: true,
    responseStream: true,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  },
};

/** Stands between agents and scheduler and shows every message of an agent to `onMessage`, as it went over the wire. */
export async function startRecordingProxy(
  schedulerPort: number,
  onMessage: (node: string, bytes: Buffer) => void,
): Promise<{ readonly port: number; close(): void }> {
  const upstream = new Client(`127.0.0.1:${schedulerPort}`, credentials.createInsecure());
  const server = new Server();
  server.addService(SERVICE, {
    stream: (down: ServerDuplexStream<Buffer, Buffer>) => {
      const up = upstream.makeBidiStreamRequest(STREAM_PATH, same, same);
      let node = '';
      down.on('data', (bytes: Buffer) => {
        const message = decodeAgentMessage(bytes);
        if (message !== undefined && 'hello' in message) node = message.hello.node;
        onMessage(node, bytes);
        up.write(bytes);
      });
      down.on('end', () => up.end());
      down.on('cancelled', () => up.cancel());
      up.on('data', (bytes: Buffer) => down.write(bytes));
      up.on('end', () => down.end());
      up.on('error', (error: Error) => down.destroy(error));
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
  return {
    port,
    close: () => {
      server.forceShutdown();
      upstream.close();
    },
  };
}
