import { ServerInterceptingCall, type Metadata, type ServerInterceptor } from '@grpc/grpc-js';

/**
 * Holds back what a peer sends while the sink is busy. Pausing the call itself is not enough: as an object stream it
 * reads 16 messages ahead, 64 MB an agent at the largest. Behind a closed gate lies one message, and HTTP/2 flow
 * control stops the peer.
 */
export class ReadGate {
  #closed = false;
  #held: (() => void) | undefined;

  get isClosed(): boolean {
    return this.#closed;
  }

  close(): void {
    this.#closed = true;
  }

  open(): void {
    this.#closed = false;
    const release = this.#held;
    this.#held = undefined;
    release?.();
  }

  pass(release: () => void): void {
    if (this.#closed) this.#held = release;
    else release();
  }
}

/** An interceptor does not know the call that the handler sees; both know the metadata object. */
const gates = new WeakMap<Metadata, ReadGate>();

export const gateInterceptor: ServerInterceptor = (_method, call) => {
  const gate = new ReadGate();
  return new ServerInterceptingCall(call, {
    start: (next) => {
      next({
        onReceiveMetadata: (metadata, pass) => {
          gates.set(metadata, gate);
          pass(metadata);
        },
        onReceiveMessage: (message, pass) => gate.pass(() => pass(message)),
        onReceiveHalfClose: (pass) => pass(),
        onCancel: () => {},
      });
    },
  });
};

export function gateOf(metadata: Metadata): ReadGate {
  return gates.get(metadata) ?? new ReadGate();
}
