Feature: Links that expire
  An export API signs its links for a while. A large file, or one whose turn comes late, outlasts them.

  Background:
    Given an export API that signs its links anew with every list
      | path   | size     |
      | /small | 1000     |
      | /large | 22000000 |
    And the first link of large dies after 12000000 bytes

  Scenario: The file goes on with a fresh link
    When a job lands the export
    Then the job is COMPLETED
    And 2 files are stored
    And every stored file is identical to its source
    And large was read from its first byte once, and then from its last whole part
    And nothing is unfinished

  Scenario: All files or none wait for it
    When a job lands all of the export or none
    Then the job is COMPLETED
    And 2 files are stored
    And every stored file is identical to its source
    And large was read from its first byte once, and then from its last whole part
    And nothing is unfinished

  Scenario: An API that gives no fresh link leaves nothing behind
    Given the API lists its files only once
    When a job lands the export
    Then the job is FAILED because of ExportFailedError
    And small is STORED
    And large is FAILED because of SourceStatusError
    And nothing is left of large
