import { experimental, type ServerCredentials } from '@grpc/grpc-js';
import type { TlsMaterial } from '../tls/material.ts';

type Provider = experimental.CertificateProvider;

/**
 * Certificates of the agents' listener, which can be changed while it listens; connections that stand keep theirs.
 * Listeners are told later than they are added: grpc-js adds its own before it looks (server.js, createHttp2Server).
 */
export class AgentCredentials implements Provider {
  #tls: TlsMaterial;
  readonly #ca = new Set<experimental.CaCertificateUpdateListener>();
  readonly #identity = new Set<experimental.IdentityCertificateUpdateListener>();

  constructor(tls: TlsMaterial) {
    this.#tls = tls;
  }

  /** grpc-js hands the first argument on as the server's own certificate, whatever its declaration calls it (1.14). */
  credentials(): ServerCredentials {
    const demanded = this.#tls.ca !== undefined;
    return experimental.createCertificateProviderServerCredentials(this, demanded ? this : null, demanded);
  }

  /** Whether callers must show a certificate stays as it was at the start. */
  change(tls: TlsMaterial): void {
    this.#tls = tls;
    for (const listener of this.#ca) this.#tellCa(listener);
    for (const listener of this.#identity) this.#tellIdentity(listener);
  }

  addCaCertificateListener(listener: experimental.CaCertificateUpdateListener): void {
    this.#ca.add(listener);
    queueMicrotask(() => this.#tellCa(listener));
  }

  removeCaCertificateListener(listener: experimental.CaCertificateUpdateListener): void {
    this.#ca.delete(listener);
  }

  addIdentityCertificateListener(listener: experimental.IdentityCertificateUpdateListener): void {
    this.#identity.add(listener);
    queueMicrotask(() => this.#tellIdentity(listener));
  }

  removeIdentityCertificateListener(listener: experimental.IdentityCertificateUpdateListener): void {
    this.#identity.delete(listener);
  }

  #tellCa(listener: experimental.CaCertificateUpdateListener): void {
    if (this.#tls.ca !== undefined) listener({ caCertificate: this.#tls.ca });
  }

  #tellIdentity(listener: experimental.IdentityCertificateUpdateListener): void {
    listener({ certificate: this.#tls.cert, privateKey: this.#tls.key });
  }
}
