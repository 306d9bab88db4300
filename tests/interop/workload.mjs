// Client authentication of a workload (RFC 7523 section 2.2): the assertion is signed by the platform, not by the client.

export function identityAsAssertion(identity) {
  return (server, client, body) => {
    body.set('client_id', client.client_id);
    body.set('client_assertion_type', 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer');
    body.set('client_assertion', identity);
  };
}
