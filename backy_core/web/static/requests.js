// Requests for pools that this browser sent, to send them again if their creation failed.

const key = (guid) => `request ${guid}`;

export function remember(guid, request) {
  sessionStorage.setItem(key(guid), JSON.stringify(request));
}

export function requested(guid) {
  const text = sessionStorage.getItem(key(guid));
  return text === null ? null : JSON.parse(text);
}
