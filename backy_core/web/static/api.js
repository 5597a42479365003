// Calls of the agent's API by the browser's session.

import { plainly, say } from "./text.js";

export class ApiError extends Error {
  constructor(status, error) {
    super(error.message);
    this.status = status;
    this.code = error.code;
    this.details = error.details ?? "";
  }

  /** Message and details as one text. */
  get whole() {
    return plainly(this.details ? `${this.message}. ${this.details}` : this.message);
  }
}

/** Send a request below /api/v1; returns the decoded reply, throws ApiError. */
export async function call(method, path, body) {
  const options = { method, headers: {} };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const reply = await fetch(`/api/v1${path}`, options).catch(() => {
    throw new ApiError(0, { code: "UNREACHABLE", message: say("errors.unreachable") });
  });
  const data = await reply.json();
  if (reply.ok) return data;
  if (reply.status === 401 && path !== "/session") location.reload(); // which shows the sign-in page
  throw new ApiError(reply.status, data.error);
}

export const of = (guid) => `/pools/${encodeURIComponent(guid)}`;
