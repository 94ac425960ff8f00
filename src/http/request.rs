//! What a request asks: query, headers, body, read strictly.
